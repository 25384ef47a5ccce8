"""A function inside a network: its side of it, and what Lambda needs to put it there."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from infra.permissions import allow

# In the images of those who talk to RDS: its certificates come from Amazon's own authorities.
RDS_AUTHORITIES = "/etc/ssl/rds-global-bundle.pem"


def join_network(
    function: lambda_.DockerImageFunction, *, groups: Sequence[str], subnets: Sequence[str]
) -> None:
    """Put a function into subnets, with security groups; its role needs `own_interfaces`.

    Layer 1: the layer 2 construct wants a VPC object, which would have to be looked up.
    """
    resource = function.node.default_child
    if not isinstance(resource, lambda_.CfnFunction):
        raise TypeError("a function's default child is its CloudFormation resource")
    resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
        security_group_ids=list(groups), subnet_ids=list(subnets)
    )


def own_interfaces() -> iam.PolicyStatement:
    """Return what Lambda itself needs to put a function into a network.

    The interfaces do not exist yet, so no resource can be named:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    """
    return allow(
        [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ],
        ["*"],
    )
