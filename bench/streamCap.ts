import * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/*
 * What a connection to ECR or S3 is like and one on this machine is not: every connection through this relay has a
 * delay and a bandwidth of its own, in each direction.
 * A process of its own, with the arguments PORT DELAY_MS BYTES_PER_SECOND, which sends its parent its port.
 */

const [port = 0, delayMs = 0, bytesPerSecond = 0] = process.argv.slice(2).map(Number);
/** Timers are late by some milliseconds, which are made up for; what was idle for longer gets no more for it. */
const toleranceMs = 10;

/** Passes bytes on in their order, each when a link of this delay and bandwidth would have brought it. */
async function relay(from: net.Socket, to: net.Socket): Promise<void> {
    let free = 0;
    for await (const chunk of from as AsyncIterable<Buffer>) {
        free = Math.max(free, performance.now() - toleranceMs) + (chunk.length / bytesPerSecond) * 1000;
        const wait = free - performance.now();
        if (wait > 1) await sleep(wait);
        setTimeout(() => to.write(chunk), delayMs);
    }
    setTimeout(() => to.end(), delayMs);
}

const server = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port, host: "127.0.0.1", noDelay: true });
    relay(client, upstream).catch(() => upstream.destroy());
    relay(upstream, client).catch(() => client.destroy());
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as net.AddressInfo).port));
