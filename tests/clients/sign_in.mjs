// The user of a client that has opened a page of the authorization server: `node sign_in.mjs PAGE` logs in there, agrees, and goes
// where the page leads, which is to the client.

import { Browser } from "./browser.mjs";

const page = process.argv[2];
const back = await new Browser().agree(page, new URL(page).searchParams.get("redirect_uri"));
const response = await fetch(back);
console.log(response.status, await response.text());
process.exit(response.ok ? 0 : 1);
