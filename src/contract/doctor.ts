// What `doctor` in a pod and the running sidecar say to each other: the client writes one line with the format that it wants (`text` or
// `json`), the sidecar answers with these messages, one JSON document for each line. Both are of one image.
// Neighbours: cli/ask-tunnel.ts asks, sidecar/doctor/doctor-server.ts answers.

/** In every tunnel pod: its /tmp is a volume of its own. */
export const doctorSocket = '/tmp/portforward-doctor.sock';

export type DoctorMessage =
  /** To be printed. */
  | { readonly line: string }
  /** The end: 0 if every step succeeded, 1 after a fault. */
  | { readonly exit: 0 | 1 }
  /** The end: there was no walk, and why. */
  | { readonly error: string };
