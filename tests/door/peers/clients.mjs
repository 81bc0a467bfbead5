// Clients of the door in Node.js, as a program: NAME ID SECRET. One order a line in JSON, one answer a line.

import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [name, id, secret, folder] = process.argv.slice(2)
const require = createRequire(`${folder}/package.json`)
const load = (module) => import(pathToFileURL(require.resolve(module)))

async function oauth4webapi() {
  const oauth = await load('oauth4webapi')
  const client = { client_id: id }
  const auth = oauth.ClientSecretBasic(secret)
  const insecure = { [oauth.allowInsecureRequests]: true }
  const server = (door) => ({
    issuer: door,
    token_endpoint: `${door}/token`,
    introspection_endpoint: `${door}/introspect`,
    revocation_endpoint: `${door}/revoke`,
  })
  return {
    async discover(door) {
      const issuer = new URL(door)
      const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
      return oauth.processDiscoveryResponse(issuer, response)
    },
    async introspect(door, token) {
      const response = await oauth.introspectionRequest(server(door), client, auth, token, insecure)
      return oauth.processIntrospectionResponse(server(door), client, response)
    },
    async refresh(door, token) {
      const response = await oauth.refreshTokenGrantRequest(server(door), client, auth, token, insecure)
      return oauth.processRefreshTokenResponse(server(door), client, response)
    },
    async revoke(door, token) {
      const response = await oauth.revocationRequest(server(door), client, auth, token, insecure)
      await oauth.processRevocationResponse(response)
      return response.status
    },
  }
}

async function openidClient() {
  const oidc = await load('openid-client')
  const configuration = (door) => {
    const server = {
      issuer: door,
      token_endpoint: `${door}/token`,
      introspection_endpoint: `${door}/introspect`,
      revocation_endpoint: `${door}/revoke`,
    }
    const made = new oidc.Configuration(server, id, secret)
    oidc.allowInsecureRequests(made)
    return made
  }
  return {
    async discover(door) {
      const options = { algorithm: 'oauth2', execute: [oidc.allowInsecureRequests] }
      return (await oidc.discovery(new URL(door), id, secret, undefined, options)).serverMetadata()
    },
    introspect: (door, token) => oidc.tokenIntrospection(configuration(door), token),
    refresh: (door, token) => oidc.refreshTokenGrant(configuration(door), token),
    async revoke(door, token) {
      await oidc.tokenRevocation(configuration(door), token)
      return 200
    },
  }
}

async function simpleOauth2() {
  const { AuthorizationCode } = require('simple-oauth2')
  const client = (door) =>
    new AuthorizationCode({
      client: { id, secret },
      auth: { tokenHost: door, tokenPath: '/token', revokePath: '/revoke' },
    })
  return {
    async refresh(door, token) {
      const held = client(door).createToken({ access_token: 'none', refresh_token: token })
      return (await held.refresh()).token
    },
    async revoke(door, token) {
      await client(door).createToken({ access_token: token }).revoke('access_token')
      return 200
    },
    async revokeAll(door, access_token, refresh_token) {
      await client(door).createToken({ access_token, refresh_token }).revokeAll()
      return 200
    },
  }
}

const made = { 'oauth4webapi': oauth4webapi, 'openid-client': openidClient, 'simple-oauth2': simpleOauth2 }
const client = await made[name]()
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  let answer
  try {
    answer = { answer: await client[order.do](order.door, order.token, order.other) }
  } catch (error) {
    answer = { error: error.constructor.name, text: String(error), code: error.error }
  }
  console.log(JSON.stringify(answer))
}
