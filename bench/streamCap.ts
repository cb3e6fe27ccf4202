import * as net from "node:net";

/*
 * What a connection to ECR or S3 is like and one on this machine is not: every connection through this relay has a
 * delay and a bandwidth of its own, in each direction.
 * A process of its own, with the arguments PORT DELAY_MS BYTES_PER_SECOND, which sends its parent its port.
 */

const [target = "", delay = "", rate = ""] = process.argv.slice(2);
const delayMs = Number(delay);
const bytesPerMs = Number(rate) / 1000;
const windowBytes = 256 * 1024;

/** Passes bytes on in their order, each when a link of this delay and bandwidth would have brought it. */
function relay(from: net.Socket, to: net.Socket): void {
    const underWay: { chunk: Buffer; due: number }[] = [];
    let free = 0;
    let bytes = 0;
    let isEnded = false;

    function deliver(): void {
        for (let next = underWay[0]; next !== undefined && next.due <= performance.now(); next = underWay[0]) {
            underWay.shift();
            bytes -= next.chunk.length;
            to.write(next.chunk);
        }
        if (underWay[0]) {
            setTimeout(deliver, Math.max(0, underWay[0].due - performance.now()));
        } else if (isEnded) {
            to.end();
        }
        from.resume();
    }
    from.on("data", (chunk: Buffer) => {
        free = Math.max(free, performance.now()) + chunk.length / bytesPerMs;
        bytes += chunk.length;
        if (bytes > windowBytes + bytesPerMs * delayMs) from.pause();
        if (underWay.push({ chunk, due: free + delayMs }) === 1) {
            setTimeout(deliver, Math.max(0, free + delayMs - performance.now()));
        }
    });
    from.on("close", () => {
        isEnded = true;
        if (underWay.length === 0) to.end();
    });
    from.on("error", () => undefined);
}

const server = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port: Number(target), host: "127.0.0.1", noDelay: true });
    relay(client, upstream);
    relay(upstream, client);
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as net.AddressInfo).port));
