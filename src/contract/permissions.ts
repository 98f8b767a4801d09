// What only an administrator may allow a tunnel. Never part of the tunnel config, which is free text to the API server: these stand in the
// arguments of the pods that use them, and the chart's admission policy admits each as absent or as the chart says.
// Neighbours: main.ts and cli/sidecar.ts parse them, controller/children/pod.ts writes them, helm/templates/admission-controller.yaml.

export interface Permissions {
  /** Origins besides AWS's that may get signed requests, such as `https://vpce.example.com:8443`. */
  readonly awsEndpoints: readonly string[];
  /** fly.io's API, which gets the tunnel's token; '' = fly.io's own. */
  readonly flyApiUrl: string;
  /** `hostKeyPolicy: InsecureIgnore` of the config is obeyed; else every host key is checked. */
  readonly insecureHostKeys: boolean;
  /** An ssm tunnel may use the AWS role of its node. */
  readonly nodeRole: boolean;
}

export const noPermissions: Permissions = { awsEndpoints: [], flyApiUrl: '', insecureHostKeys: false, nodeRole: false };

/** The options of `portforward sidecar`. */
export const insecureHostKeysOption = '--allow-insecure-host-keys';
export const nodeRoleOption = '--allow-node-role';
export const awsEndpointOption = '--allowed-aws-endpoint';
export const flyApiUrlOption = '--fly-api-url';

/** The permissions as arguments of `portforward sidecar`: none where nothing is allowed. The order is always the same. */
export function permissionArguments(permissions: Permissions): string[] {
  const { awsEndpoints, flyApiUrl, insecureHostKeys, nodeRole } = permissions;
  return [
    ...(insecureHostKeys ? [insecureHostKeysOption] : []),
    ...(nodeRole ? [nodeRoleOption] : []),
    ...(flyApiUrl === '' ? [] : [`${flyApiUrlOption}=${flyApiUrl}`]),
    ...awsEndpoints.toSorted().map((origin) => `${awsEndpointOption}=${origin}`),
  ];
}
