/** The lab's own HTTP servers: where they listen, and how they hand requests on to others. */
import { once } from "node:events";
import { type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { finished } from "node:stream/promises";

import type { Listening } from "./processes";

/** Has a server listen on 127.0.0.1, on a port that the kernel chooses. */
export async function listen(server: Server): Promise<Listening> {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
        port: (server.address() as AddressInfo).port,
        stop: async () => {
            server.closeAllConnections();
            await new Promise((resolve) => server.close(resolve));
        },
    };
}

/** Where a request is handed on to, and what differs there from the request as it came. */
interface Onward {
    readonly port: number;
    /** @default the path as it came */
    readonly path?: string;
    /** The body, where it has been read already. */
    readonly body?: Buffer;
    /** Answers in the place of the other server, if that answered something that may not be shown; whether it did. */
    readonly instead?: (status: number) => Promise<boolean>;
}

/** Has another server of this machine answer a request. */
export async function handOn(
    incoming: IncomingMessage,
    response: ServerResponse,
    { port, path = incoming.url, body, instead }: Onward,
): Promise<void> {
    const { method, headers } = incoming;
    const onward = request({ host: "127.0.0.1", port, method, path, headers });
    if (body === undefined) incoming.pipe(onward);
    else onward.end(body);
    try {
        const [answer] = (await once(onward, "response")) as [IncomingMessage];
        const status = answer.statusCode ?? 502;
        if ((await instead?.(status)) === true) {
            answer.resume();
        } else {
            response.writeHead(status, answer.headers);
            answer.pipe(response);
        }
        await finished(response, { readable: false });
    } catch (error) {
        if (!response.headersSent) response.writeHead(502);
        response.end(String(error));
    }
}
