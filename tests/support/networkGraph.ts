/** Judges by the declared resources alone where a build in a VPC can connect to, and where it cannot. */
import { at, awsTypes, physicalNameOf } from "../../lab/awsTypes";
import { customResourcesOf, type Evaluation, type RecordedResource } from "../../lab/evaluation";

/** The `vpcConfig` of a project, as it is declared. */
export interface VpcConfig {
    readonly vpcId: string;
    readonly subnets: readonly string[];
    readonly securityGroupIds: readonly string[];
}

type Inputs = Record<string, unknown>;

/** What stays inside of a VPC. Everything else of EC2's network would be a way out, or in. */
const inside = [
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/flowLog:FlowLog",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
];

/** Every declared way out of the VPC or into it but the endpoints, told in words; empty where there is none. */
export function waysOut(evaluation: Evaluation): string[] {
    return customResourcesOf(evaluation)
        .filter(({ type }) => /^aws:(?:ec2|ec2transitgateway|networkmanager|vpc|vpclattice)\//.test(type))
        .flatMap(({ type, name, inputs }) => [
            ...(inside.includes(type) ? [] : [`${name} is of the type ${type}`]),
            ...(type.endsWith(":RouteTable") && !isEmptyList(inputs["routes"]) ? [`${name} has routes`] : []),
            ...("propagatingVgws" in inputs ? [`${name} takes routes of a virtual gateway`] : []),
            ...(type.endsWith(":Subnet") && inputs["mapPublicIpOnLaunch"] !== false
                ? [`${name} gives out public addresses`]
                : []),
            ...("cidrIpv4" in inputs || "cidrIpv6" in inputs ? [`${name} is a rule for addresses`] : []),
            ...("ingress" in inputs || "egress" in inputs ? [`${name} has rules of its own`] : []),
            ...("serviceRegion" in inputs ? [`${name} leads to another region`] : []),
        ]);
}

/**
 * What keeps a build from a service of AWS, told in words; empty where the build reaches it.
 *
 * @param service End of the service's name at an endpoint, for instance `ecr.api`.
 */
export function obstacles(evaluation: Evaluation, build: VpcConfig, service: string): string[] {
    const endpoint = customResourcesOf(evaluation).find(
        ({ type, inputs }) =>
            type === "aws:ec2/vpcEndpoint:VpcEndpoint" &&
            inputs["vpcId"] === build.vpcId &&
            String(inputs["serviceName"]).endsWith(`.${service}`),
    );
    if (endpoint === undefined) return [`no endpoint of ${service} in ${build.vpcId}`];
    return endpoint.inputs["vpcEndpointType"] === "Gateway"
        ? gatewayObstacles(evaluation, build, endpoint)
        : interfaceObstacles(evaluation, build, endpoint);
}

/** The way of a gateway: a route in the table of each subnet, and a rule for the service's addresses. */
function gatewayObstacles(evaluation: Evaluation, build: VpcConfig, endpoint: RecordedResource): string[] {
    const tables = endpoint.inputs["routeTableIds"] as string[];
    const associations = inputsOf(evaluation, "RouteTableAssociation");
    const unrouted = build.subnets.filter(
        (subnet) =>
            !associations.some(
                ({ subnetId, routeTableId }) => subnetId === subnet && tables.includes(String(routeTableId)),
            ),
    );
    const mayLeave = inputsOf(evaluation, "SecurityGroupEgressRule").some(
        (rule) =>
            isHttps(rule) &&
            build.securityGroupIds.includes(String(rule["securityGroupId"])) &&
            rule["prefixListId"] === answerOf(endpoint)["prefixListId"],
    );
    return [
        ...unrouted.map((subnet) => `no route from ${subnet} to ${endpoint.name}`),
        ...(mayLeave ? [] : [`no rule lets builds out to ${endpoint.name}`]),
    ];
}

/** The way of an interface: the service's own name, an interface in the build's zone, rules on both sides. */
function interfaceObstacles(evaluation: Evaluation, build: VpcConfig, endpoint: RecordedResource): string[] {
    const { privateDnsEnabled, subnetIds, securityGroupIds } = endpoint.inputs;
    const [vpc] = customResourcesOf(evaluation).filter((each) => answerOf(each).id === build.vpcId);
    const groups = securityGroupIds as string[];
    const zones = zonesOf(evaluation, subnetIds as string[]);
    const without = zonesOf(evaluation, build.subnets).filter((zone) => !zones.includes(zone));
    const mayLeave = inputsOf(evaluation, "SecurityGroupEgressRule").some(
        (rule) =>
            isHttps(rule) &&
            build.securityGroupIds.includes(String(rule["securityGroupId"])) &&
            groups.includes(String(rule["referencedSecurityGroupId"])),
    );
    const mayEnter = inputsOf(evaluation, "SecurityGroupIngressRule").some(
        (rule) =>
            isHttps(rule) &&
            groups.includes(String(rule["securityGroupId"])) &&
            build.securityGroupIds.includes(String(rule["referencedSecurityGroupId"])),
    );
    return [
        ...(privateDnsEnabled === true ? [] : [`the usual name of the service does not lead to ${endpoint.name}`]),
        ...(vpc?.inputs["enableDnsSupport"] === true && vpc.inputs["enableDnsHostnames"] === true
            ? []
            : [`the VPC ${build.vpcId} has no private DNS`]),
        ...without.map((zone) => `${endpoint.name} is not in ${zone}`),
        ...(mayLeave ? [] : [`no rule lets builds out to ${endpoint.name}`]),
        ...(mayEnter ? [] : [`no rule lets builds in to ${endpoint.name}`]),
    ];
}

function inputsOf(evaluation: Evaluation, className: string): Inputs[] {
    return customResourcesOf(evaluation)
        .filter(({ type }) => type.endsWith(`:${className}`))
        .map(({ inputs }) => inputs);
}

function zonesOf(evaluation: Evaluation, subnetIds: readonly string[]): string[] {
    return customResourcesOf(evaluation)
        .filter((each) => subnetIds.includes(answerOf(each).id))
        .map(({ inputs }) => String(inputs["availabilityZone"]));
}

function isHttps({ ipProtocol, fromPort, toPort }: Inputs): boolean {
    return ipProtocol === "tcp" && fromPort === 443 && toPort === 443;
}

function isEmptyList(value: unknown): boolean {
    return Array.isArray(value) && value.length === 0;
}

/** What the mocks answered for a resource: its id, by which others refer to it. */
function answerOf({ type, name, inputs }: RecordedResource): { readonly id: string; readonly [key: string]: string } {
    return awsTypes[type]?.answer(physicalNameOf(name), inputs, at) ?? { id: "" };
}
