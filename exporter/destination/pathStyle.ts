/** What decides where a request of a client of the AWS SDK goes. */
interface Located {
    readonly config: { endpointProvider: (parameters: { Endpoint?: string }, context?: object) => unknown };
}

/**
 * Has a client of S3 use path-style addresses where the environment or the profile names an endpoint, an emulator or another store:
 * that need not have a host name for each bucket. Clients of other services are as they were.
 */
export function withPathStyle<Client>(client: Client): Client {
    const { config } = client as unknown as Located;
    const { endpointProvider } = config;
    config.endpointProvider = (parameters, context) =>
        endpointProvider({ ...parameters, ...(parameters.Endpoint && { ForcePathStyle: true }) }, context);
    return client;
}
