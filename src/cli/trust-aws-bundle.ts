// The certificates that AWS's own tools would trust: where TLS is inspected, AWS_CA_BUNDLE names those of the company. In a pod the chart's
// caBundle does this. Neighbour: open.ts, for documents with spec.ssm.
import { readFileSync } from 'node:fs';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { UsageError } from './usage-error.ts';

/** Trusts the certificates of the file AWS_CA_BUNDLE, if it is set, beside the usual ones, in this whole process. @throws UsageError if it cannot be read */
export function trustAwsBundle({ AWS_CA_BUNDLE: file }: Readonly<Record<string, string | undefined>>): void {
  if (file === undefined || file === '') return;
  try {
    const certificates = readFileSync(file, 'latin1').match(
      /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
    );
    if (certificates === null) throw new Error('no certificate in it');
    setDefaultCACertificates([...getCACertificates('default'), ...certificates]);
  } catch (cause) {
    throw new UsageError(`AWS_CA_BUNDLE is ${file}, from which no certificates can be read: correct or unset it`, {
      cause,
    });
  }
}
