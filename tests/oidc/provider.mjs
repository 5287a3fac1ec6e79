// An identity provider for tests: who logs in is what a header says. Its first line is its issuer. `POST /test` changes what it says.
import { createServer } from "node:http";
import Provider from "oidc-provider";

// What the provider says of itself is not for those who read the issuer.
console.info = console.warn = console.error;

const redirect_uris = ["https://sandmill.test/api/auth/oidc/callback"];
const client = (client_id) => ({ client_id, client_secret: `${client_id}-secret-${client_id}-secret`, redirect_uris });
/** Claims by account, and an ID token to give in the place of the next one. */
const state = { people: {}, swap: undefined };

const configuration = {
  clients: [client("sandmill"), client("other")],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username", "groups"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["of tests"] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, ...state.people[accountId] }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  // Nobody is asked for consent.
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  const rest = provider.callback();

  const change = async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    Object.assign(state, JSON.parse(text));
    response.end();
  };

  const swapped = (response) => {
    const end = response.end.bind(response);
    response.end = (body) => {
      const text = JSON.stringify({ ...JSON.parse(body), id_token: state.swap });
      state.swap = undefined;
      response.setHeader("content-length", Buffer.byteLength(text));
      return end(text);
    };
  };

  server.on("request", (request, response) => {
    const { pathname } = new URL(request.url, issuer);
    if (pathname === "/test") return change(request, response);
    if (pathname.startsWith("/interaction/")) {
      const login = { accountId: request.headers["x-test-account"] };
      return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
    }
    if (pathname === "/token" && state.swap) swapped(response);
    return rest(request, response);
  });
  console.log(issuer);
});
