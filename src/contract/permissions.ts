// What only an administrator may allow a tunnel. Never part of the tunnel config, which is free text to the API server: these stand in the
// arguments of the pods that use them, and the chart's admission policy admits each as absent or as the chart says.
// Neighbours: main.ts and cli/sidecar.ts parse them, controller/children/pod.ts writes them, helm/templates/admission-controller.yaml.

export interface Permissions {
  /** Origins besides AWS's that may get signed requests, such as `https://vpce.example.com:8443`. */
  readonly awsEndpoints: readonly string[];
  /** `hostKeyPolicy: InsecureIgnore` of the config is obeyed; else every host key is checked. */
  readonly insecureHostKeys: boolean;
  /** An ssm tunnel may use the AWS role of its node. */
  readonly nodeRole: boolean;
}

export const noPermissions: Permissions = { awsEndpoints: [], insecureHostKeys: false, nodeRole: false };

/** The options of `portforward sidecar`. */
export const insecureHostKeysOption = '--allow-insecure-host-keys';
export const nodeRoleOption = '--allow-node-role';
export const awsEndpointOption = '--allowed-aws-endpoint';

/** The permissions as arguments of `portforward sidecar`: none where nothing is allowed. The order is always the same. */
export function permissionArguments({ awsEndpoints, insecureHostKeys, nodeRole }: Permissions): string[] {
  return [
    ...(insecureHostKeys ? [insecureHostKeysOption] : []),
    ...(nodeRole ? [nodeRoleOption] : []),
    ...awsEndpoints.toSorted().map((origin) => `${awsEndpointOption}=${origin}`),
  ];
}
