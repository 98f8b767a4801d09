// The part of fly.io's GraphQL schema that a tunnel needs, with the names and nullability of fly-go's schema.graphql; every query is
// validated against it. Neighbour: fly-api.ts answers.

export const schemaText = `
  schema { query: Queries mutation: Mutations }
  type Queries {
    app(name: String): App
    organization(slug: String): Organization
    organizations(admin: Boolean): OrganizationConnection!
    nearestRegion(wireguardGateway: Boolean): Region!
    viewer: Principal!
  }
  type Mutations {
    addWireGuardPeer(input: AddWireGuardPeerInput!): AddWireGuardPeerPayload
    removeWireGuardPeer(input: RemoveWireGuardPeerInput!): RemoveWireGuardPeerPayload
    validateWireGuardPeers(input: ValidateWireGuardPeersInput!): ValidateWireGuardPeersPayload
  }
  type App {
    id: ID!
    name: String!
    network: String
    platformVersion: String
    organization: Organization!
  }
  type Organization {
    id: ID!
    internalNumericId: String!
    slug: String!
    rawSlug: String!
    name: String!
    type: String!
    paidPlan: Boolean!
    billable: Boolean!
    viewerRole: String!
    wireGuardPeers: WireGuardPeerConnection!
  }
  type OrganizationConnection { nodes: [Organization] }
  type WireGuardPeerConnection { nodes: [WireGuardPeer] }
  type WireGuardPeer { id: ID! name: String! pubkey: String! region: String! peerip: String! network: String }
  type Region { code: String! name: String! gatewayAvailable: Boolean! deprecated: Boolean! }
  interface Principal { email: String }
  type User implements Principal { id: ID! email: String enablePaidHobby: Boolean! }
  type Macaroon implements Principal { email: String }
  input AddWireGuardPeerInput {
    clientMutationId: String
    organizationId: ID!
    region: String
    name: String!
    pubkey: String!
    network: String
    nats: Boolean
    gwname: String
    ephemeral: Boolean
  }
  type AddWireGuardPeerPayload { peerip: String! endpointip: String! pubkey: String! network: String }
  input RemoveWireGuardPeerInput { clientMutationId: String organizationId: ID! name: String! nats: Boolean }
  type RemoveWireGuardPeerPayload { organization: Organization! }
  input ValidateWireGuardPeersInput { clientMutationId: String peerIps: [String!]! }
  type ValidateWireGuardPeersPayload { invalidPeerIps: [String!]! validPeerIps: [String!]! }
`;
