// Members that src/ never reads by name, each with who does. Neighbour: members.ts judges them, and the rows of members that are gone.

export const memberExceptions: Readonly<Record<string, string>> = {
  'AgentFacts.customerMessage': 'the tests of the handshake: it shows that the last message was decoded',
  'AwsCredentials.secretAccessKey': 'the signer of @smithy/signature-v4',
  'Children.networkPolicy': 'src/controller/, which goes over all children',
  'Children.podDisruptionBudget': 'src/controller/, which goes over all children',
  'Children.serviceAccount': 'src/controller/, which goes over all children',
  'ErrorCode.meaning': 'scripts/generate/errors-page.ts',
  'ObjectMeta.finalizers': 'written into objects that are applied',
  'Resource.shape': 'carries the type of the objects, never a value',
  'Statement.Principal': 'AWS, in a policy that is printed',
  'Statement.Resource': 'AWS, in a policy that is printed',
};
