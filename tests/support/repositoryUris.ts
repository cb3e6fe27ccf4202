import { type EcrRepository, ecrHosts } from "../../contract/image";

/** Every form in which an image URI can name a repository, without tag and digest; the one with the plain host first. */
export function repositoryUris(repository: EcrRepository): string[] {
    return ecrHosts(repository).map((host) => `${host}/${repository.name}`);
}
