# A bastion on paramiko, as bastions written in Python have it: public keys, and direct-tcpip alone. Paramiko sends no text with a refusal.
# Neighbour: bastions.ts starts it, and reads its port from the first line that it prints.
import json
import socket
import sys
import threading
import warnings

warnings.simplefilter("ignore")
import paramiko  # noqa: E402
from paramiko.packet import Packetizer  # noqa: E402

options = json.loads(sys.argv[1])
Packetizer.REKEY_BYTES = options["rekeyBytes"]


class Bastion(paramiko.ServerInterface):
    def __init__(self, dialled):
        self.dialled = dialled

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        with open(options["authorized"]) as file:
            known = [line.split()[1] for line in file if line.strip()]
        return paramiko.AUTH_SUCCESSFUL if key.get_base64() in known else paramiko.AUTH_FAILED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        try:
            self.dialled[chanid] = socket.create_connection(destination)
        except OSError:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        return paramiko.OPEN_SUCCEEDED


def copy(read, write, end):
    try:
        while data := read(65536):
            write(data)
        end()
    except OSError:
        pass


def forward(channel, far):
    def end_far():
        far.shutdown(socket.SHUT_WR)

    up = threading.Thread(target=copy, args=(channel.recv, far.sendall, end_far), daemon=True)
    up.start()
    copy(far.recv, channel.sendall, channel.shutdown_write)
    up.join()
    channel.close()
    far.close()


def serve(near):
    transport = paramiko.Transport(near)
    transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(options["hostKey"]))
    dialled = {}
    try:
        transport.start_server(server=Bastion(dialled))
        while transport.is_active():
            channel = transport.accept(1)
            if channel is not None:
                far = dialled.pop(channel.get_id())
                threading.Thread(target=forward, args=(channel, far), daemon=True).start()
    except (paramiko.SSHException, EOFError, OSError) as error:
        print(error, flush=True)


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on port {listener.getsockname()[1]}", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
