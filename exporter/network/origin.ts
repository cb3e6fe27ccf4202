/** Where a registry's API is, which hosts are this machine, and where a registry may lead. */
import * as dns from "node:dns";
import * as net from "node:net";
import { ExportError } from "../../contract/errors";

/** Origin of a registry's API. Plain HTTP is for loopback hosts only, or for any host when `insecure`. */
export function registryOrigin(registry: string, insecure: boolean): URL {
    if (registry === "docker.io") return new URL("https://registry-1.docker.io");
    const scheme = insecure || isLoopback(new URL(`http://${registry}`).hostname) ? "http" : "https";
    return new URL(`${scheme}://${registry}`);
}

/** Whether a host name can only mean this machine. */
export function isLoopback(hostname: string): boolean {
    return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

/** This machine, and the services that answer it only: link-local addresses, and those of EC2's metadata and of EKS in IPv6. */
const local = new net.BlockList();
local.addSubnet("0.0.0.0", 8);
local.addSubnet("127.0.0.0", 8);
local.addSubnet("169.254.0.0", 16);
local.addSubnet("::", 127, "ipv6");
local.addSubnet("fe80::", 10, "ipv6");
local.addSubnet("fd00:ec2::", 32, "ipv6");

function isLocal(host: string): boolean {
    const address = host.replace(/^\[|\]$/g, "");
    const family = net.isIP(address);
    // All names below localhost (RFC 6761, 6.3), which a proxy would take for itself.
    return family === 0 ? /(^|\.)localhost\.?$/.test(host) : local.check(address, family === 6 ? "ipv6" : "ipv4");
}

/**
 * Where an answer leads.
 *
 * @param from the URL that answered
 * @param location as the answer has it; relative to `from`
 * @throws ExportError when it may not be followed: from TLS to plain HTTP, to this machine or to link-local addresses
 */
export type Lead = (from: URL, location: string) => URL;

/**
 * The rules for where a registry may lead, by redirects and to its token server; private addresses are allowed, since VPC
 * endpoints and companies' stores have them. `lookup` looks up names as Node does, but refuses those that others than the registry
 * itself give to local addresses.
 */
export function createLeads(registry: URL, insecure: boolean): { lead: Lead; lookup: net.LookupFunction } {
    const isHere = isLocal(registry.hostname);

    const lead: Lead = (from, location) => {
        if (!URL.canParse(location, from.href)) throw refused(from, `"${location.slice(0, 300)}"`, "is not a URL");
        const to = new URL(location, from);
        if (!/^https?:$/.test(to.protocol)) throw refused(from, to.protocol, "is neither https nor http");
        const isTls = to.protocol === "https:";
        if (!isTls && from.protocol === "https:") throw refused(from, to.origin, "is not TLS");
        if (!isTls && !insecure && !isLoopback(to.hostname)) {
            throw refused(from, to.origin, "is not TLS; allow it with --insecure");
        }
        if (!isHere && isLocal(to.hostname)) throw refused(from, to.origin, localAddress);
        return to;
    };

    const lookup: net.LookupFunction = (hostname, options, callback) => {
        dns.lookup(hostname, options, (error, found, family) => {
            const addresses = Array.isArray(found) ? found.map(({ address }) => address) : [found];
            const isRefused = !isHere && hostname !== registry.hostname && addresses.some(isLocal);
            callback(error ?? (isRefused ? refused(registry, hostname, localAddress) : null), found, family);
        });
    };
    return { lead, lookup };
}

const localAddress = "is an address of this machine or of its own services";

function refused(from: URL, to: string, why: string): ExportError {
    return new ExportError("ExportFailed", `${from.origin} leads to ${to}, which ${why}.`);
}
