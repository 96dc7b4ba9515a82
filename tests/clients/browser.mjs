// A user with a browser: follows redirects, keeps cookies, fills in whatever form comes and sends it.

/** More pages than any login has. */
const MAX_PAGES = 20;

export class Browser {
    #cookies = new Map();

    /** Opens a page of an authorization server, logs in as alice, agrees to everything, and gives the address to which the browser
     *  is sent in the end, which begins with `callback`. */
    async agree(page, callback) {
        let url = new URL(page);
        let form;
        for (let pages = 0; pages < MAX_PAGES; pages += 1) {
            const response = await this.#load(url, form);
            const location = response.headers.get("location");
            if (location) {
                [url, form] = [new URL(location, url), undefined];
                if (url.href.startsWith(callback)) return url;
                continue;
            }
            const text = await response.text();
            const action = /<form[^>]*action="([^"]+)"/.exec(text)?.[1];
            if (!action) throw new Error(`${url} is no form, but ${response.status} ${text}`);
            [url, form] = [new URL(action, url), filled(text)];
        }
        throw new Error(`${page} leads nowhere`);
    }

    async #load(url, form) {
        const headers = { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
        const response = await fetch(url, { method: form ? "POST" : "GET", body: form, headers, redirect: "manual" });
        for (const cookie of response.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
            if (value) this.#cookies.set(name, value);
            else this.#cookies.delete(name);
        }
        return response;
    }
}

/** The inputs of a form: those that are hidden as they came, the others with a name. */
function filled(text) {
    const inputs = [...text.matchAll(/<input[^>]*>/g)].map(([input]) => ({
        name: /name="([^"]*)"/.exec(input)?.[1],
        value: /type="hidden"/.test(input) ? /value="([^"]*)"/.exec(input)?.[1] : "alice",
    }));
    return new URLSearchParams(inputs.filter(({ name }) => name).map(({ name, value }) => [name, value ?? ""]));
}
