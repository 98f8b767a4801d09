# A bastion on asyncssh, as bastions written in Python have it: public keys, and direct-tcpip alone.
# Neighbour: bastions.ts starts it, and reads its port from the first line that it prints.
import asyncio
import json
import sys
import warnings

warnings.simplefilter("ignore")
import asyncssh  # noqa: E402

options = json.loads(sys.argv[1])


class Bastion(asyncssh.SSHServer):
    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        with open(options["authorized"]) as file:
            known = [line.split()[1] for line in file if line.strip()]
        return key.export_public_key().split()[1].decode() in known

    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return True


async def main():
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Bastion,
        server_host_keys=[options["hostKey"]],
        rekey_bytes=options["rekeyBytes"],
    )
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
