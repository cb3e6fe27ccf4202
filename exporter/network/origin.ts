/** Where a registry's API is, and which hosts are this machine. */

/**
 * Origin of a registry's API. Plain HTTP is for loopback hosts only, or for any host when asked for.
 *
 * @param insecure Whether a host that is not loopback may be spoken to without TLS.
 */
export function registryOrigin(registry: string, insecure: boolean): URL {
    if (registry === "docker.io") return new URL("https://registry-1.docker.io");
    const scheme = insecure || isLoopback(new URL(`http://${registry}`).hostname) ? "http" : "https";
    return new URL(`${scheme}://${registry}`);
}

/** Whether a host name can only mean this machine. */
export function isLoopback(hostname: string): boolean {
    return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}
