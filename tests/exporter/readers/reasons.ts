/** Why a program does not read an archive: the sentences of docs/results/readers.md. */
interface Reason {
    /** Of archives, as `BUILDER; WRITER`. */
    readonly archives: RegExp;
    readonly readers: RegExp;
    /** What the program says, or what was found. */
    readonly says: RegExp;
    readonly why: string;
}

export const reasons: readonly Reason[] = [
    {
        archives: /an artifact/,
        readers: /^(?!regctl|oras|skopeo oci|.*containerd store|crane push, of the folder)/,
        says: /finds \[\]|not found|mismatched image rootfs|only a single image|not correct mediatype|no extractable/,
        why: "It is no container image, so there is nothing to load or to unpack; what copies OCI artifacts copies it.",
    },
    {
        archives: /zstd/,
        readers: /^Docker, the machine's own$/,
        says: /unexpected EOF|invalid tar header/,
        why: "Docker before 23 cannot unpack zstd. `docker save` of a later one with a graph driver has the layers unpacked.",
    },
    {
        archives: /^kaniko, zstd/,
        readers: /^skopeo oci-archive$/,
        says: /unsupported docker v2s2 media type/,
        why: "skopeo refuses OCI's media type of zstd in a manifest of Docker's. It reads the same file as `docker-archive:`.",
    },
    {
        archives: /^crane index append; .*`all`$/,
        readers: /^skopeo oci-archive$/,
        says: /Manifest list must be converted/,
        why: "crane writes an `artifactType` into the index's descriptors. skopeo 1.9 would leave it out, and `--preserve-digests` refuses that.",
    },
    {
        archives: /an index in an index; .*`all`$/,
        readers: /^skopeo oci-archive$/,
        says: /Unexpectedly received a manifest list/,
        why: "skopeo does not go down into an index in an index. Export one platform.",
    },
    {
        archives: /`all`$|^a set/,
        readers: /^crane push$/,
        says: /only a single image/,
        why: "`crane push` takes a file with one image. Of the folder it takes all, those of a set with `--index`.",
    },
    {
        archives: /^/,
        readers: /^umoci$/,
        says: /(not implemented|unsupported mediatype): application\/vnd\.docker/,
        why: "umoci knows only OCI's media types. `skopeo copy oci-archive:image.tar oci:FOLDER:TAG` converts; the digest is another then.",
    },
    {
        archives: /`all`$|two platforms/,
        readers: /^umoci$/,
        says: /tag is ambiguous/,
        why: "umoci does not choose among platforms. Export one.",
    },
    {
        archives: /(index|platforms).*`all`$/,
        readers: /^Apptainer/,
        says: /nil pointer/,
        why: "Apptainer 1.4 ends with a nil pointer where an index does not name its images' platforms. Export one platform.",
    },
    {
        archives: /^a set .*Docker's format/,
        readers: /^skopeo oci-archive$/,
        says: /no descriptor found/,
        why: "By a name skopeo finds no images of Docker's media types in a layout. It reads the same file as `docker-archive:`.",
    },
    {
        archives: /^a set/,
        readers: /^Apptainer docker-archive$/,
        says: /layout contains multiple images/,
        why: "Apptainer takes no image of several from a file. It takes one of the unpacked archive, `oci:FOLDER@DIGEST`, as in the next column.",
    },
    {
        archives: /^a set .*two platforms/,
        readers: /^Apptainer oci-archive$/,
        says: /unexpected media type/,
        why: "By digest Apptainer takes no index. Export one platform.",
    },
    {
        archives: /`docker save`, Docker, the machine's own$/,
        readers: /oci-archive|^crane push, of the folder$|^oras$|^umoci$/,
        says: /index\.json|oci-layout/,
        why: "`docker save` before Docker 25 writes no OCI image layout: it is a Docker archive only.",
    },
];

/** Why a program does not find what belongs to an image, or cannot verify it: the sentences of docs/results/referrers.md. */
export const referrersReasons: readonly Reason[] = [
    {
        archives: /^one platform of an index/,
        readers: /copy/,
        says: /not found|no signatures found|no valid bundles|deep-equal/,
        why: "With one platform the archive has no other, and registries take no index whose images are missing: what belongs to the index stays behind. `cosign verify --local-image` verifies it in the archive, and the index has the image's digest. With `all` everything is copied.",
    },
    {
        archives: /bundles/,
        readers: /^cosign 2 .*--local-image$/,
        says: /nil pointer|unexpected media type/,
        why: "cosign 2 looks for no bundles in a layout and ends with a nil pointer, or refuses an index that has only these. cosign 3 verifies them there, cosign 2 after a copy into a registry.",
    },
    {
        archives: /in a set/,
        readers: /--local-image$/,
        says: /must verify either an image index or image/,
        why: "cosign takes a layout of one image. Copy the image into a registry, or export it alone.",
    },
];

/** Why a program does not take a delta although it has the base: the sentences of docs/results/deltas.md. */
export const deltasReasons: readonly Reason[] = [
    {
        archives: /zstd/,
        readers: /^Docker, the machine's own$/,
        says: /unexpected EOF|invalid tar header/,
        why: "Docker before 23 cannot unpack zstd, so the base is not loaded.",
    },
    {
        archives: /for": "containerd"/,
        readers: /^Docker, (the machine's own|graph driver)$/,
        says: /no such file/,
        why: "Docker's graph driver knows a layer by all those below it. Export without `for`.",
    },
    {
        archives: /a set$/,
        readers: /^podman$/,
        says: /more than one image/,
        why: "`podman load` reads an archive of several images as a Docker archive, which has to be whole. `podman pull` takes each by its name, as in the next column.",
    },
    {
        archives: /^/,
        readers: /^(skopeo docker-archive|crane push|regctl)$/,
        says: /layer tarfiles are missing|not found in tar|only a single image|unable to read all files/,
        why: "The program reads all layers from the file before it asks the registry. The next column does not.",
    },
    {
        archives: /^/,
        readers: /^umoci$/,
        says: /not implemented|tag is ambiguous/,
        why: "umoci knows only OCI's media types, and does not choose among platforms; it is so with whole archives.",
    },
    {
        archives: /^/,
        readers: /^Apptainer (docker|oci)-archive$/,
        says: /no such file|contains multiple images/,
        why: "Apptainer keeps no layers, and takes whole archives. Of base and delta in one folder it takes the image, as in the column before.",
    },
];
