from collections.abc import Mapping

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.names import Names
from infra.settings import DatabaseSettings, Settings

_POSTGRES = 5432
_HTTPS = 443
_DATABASE_NAME = "quarry"
# What would need escaping in a connection URL.
_NOT_IN_PASSWORDS = " %+~`#$&*()|[]{}:;<>?!'/@\"\\^=,"


class DataStack(Stack):
    """The database in a network without a way out, and what the loader needs to reach it.

    The loader's stack finds the network by the parameters under `/quarry/{env}/database/`.
    """

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id, termination_protection=settings.keep_data)
        if settings.database is None:
            raise ValueError(f"{settings.env} has no database settings, so no data stack")
        vpc = self._network(names)
        clients = ec2.SecurityGroup(
            self,
            "Clients",
            vpc=vpc,
            description="May reach the database; worn by the loader.",
            allow_all_outbound=False,
        )
        endpoints = self._endpoints(vpc, settings.database)
        cluster = self._cluster(vpc, names, settings, settings.database)
        self._rotate(vpc, cluster, endpoints, settings.database)
        clients.connections.allow_to(cluster, ec2.Port.tcp(_POSTGRES), "rows")
        clients.connections.allow_to(endpoints, ec2.Port.tcp(_HTTPS), "AWS services")
        # Gateway endpoints have no security group, and the network has no other way out.
        clients.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(_HTTPS), "S3 and DynamoDB")
        subnets = vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids
        self._publish(
            names,
            {
                "vpc-id": vpc.vpc_id,
                "client-security-group-id": clients.security_group_id,
                "endpoint": cluster.cluster_endpoint.hostname,
                "secret-arn": self._secret.secret_arn,
            },
        )
        ssm.StringListParameter(
            self,
            "SubnetIds",
            parameter_name=names.parameter("database", "subnet-ids"),
            string_list_value=subnets,
        )

    def _network(self, names: Names) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Network",
            vpc_name=names.prefix,
            ip_addresses=ec2.IpAddresses.cidr("10.42.0.0/20"),
            max_azs=2,
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                )
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(
                    service=ec2.GatewayVpcEndpointAwsService.DYNAMODB
                ),
            },
        )
        log_group = logs.LogGroup(
            self,
            "FlowLog",
            log_group_name=f"/quarry/{names.env}/network",
            retention=logs.RetentionDays.ONE_WEEK,
            removal_policy=RemovalPolicy.DESTROY,
        )
        vpc.add_flow_log(
            "Rejected",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(log_group),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        return vpc

    def _endpoints(self, vpc: ec2.Vpc, database: DatabaseSettings) -> ec2.SecurityGroup:
        """What the loader calls besides S3 and DynamoDB; each costs by the hour and zone."""
        group = ec2.SecurityGroup(
            self,
            "Endpoints",
            vpc=vpc,
            description="AWS services inside the network.",
            allow_all_outbound=False,
        )
        zones = vpc.availability_zones[: database.endpoint_zones]
        for name, service in (
            ("Sqs", ec2.InterfaceVpcEndpointAwsService.SQS),
            ("Events", ec2.InterfaceVpcEndpointAwsService.EVENTBRIDGE),
            ("Secrets", ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER),
        ):
            vpc.add_interface_endpoint(
                name,
                service=service,
                open=False,
                security_groups=[group],
                subnets=ec2.SubnetSelection(
                    subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, availability_zones=zones
                ),
            )
        return group

    def _cluster(
        self, vpc: ec2.Vpc, names: Names, settings: Settings, database: DatabaseSettings
    ) -> rds.DatabaseCluster:
        self._secret = rds.DatabaseSecret(
            self,
            "Secret",
            username="quarry",
            dbname=_DATABASE_NAME,
            secret_name=names.database_secret,
            exclude_characters=_NOT_IN_PASSWORDS,
        )
        return rds.DatabaseCluster(
            self,
            "Database",
            cluster_identifier=names.prefix,
            engine=rds.DatabaseClusterEngine.aurora_postgres(
                version=rds.AuroraPostgresEngineVersion.VER_17_6
            ),
            credentials=rds.Credentials.from_secret(self._secret),
            default_database_name=_DATABASE_NAME,
            writer=rds.ClusterInstance.serverless_v2("Writer"),
            serverless_v2_min_capacity=database.min_acu,
            serverless_v2_max_capacity=database.max_acu,
            serverless_v2_auto_pause_duration=(
                Duration.seconds(database.pause_after_seconds)
                if database.pause_after_seconds
                else None
            ),
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            storage_encrypted=True,
            iam_authentication=True,
            backup=rds.BackupProps(retention=Duration.days(database.backup_days)),
            cloudwatch_logs_exports=["postgresql"],
            deletion_protection=database.deletion_protection,
            removal_policy=(
                RemovalPolicy.SNAPSHOT if settings.keep_data else RemovalPolicy.DESTROY
            ),
        )

    def _rotate(
        self,
        vpc: ec2.Vpc,
        cluster: rds.DatabaseCluster,
        endpoints: ec2.SecurityGroup,
        database: DatabaseSettings,
    ) -> None:
        group = ec2.SecurityGroup(
            self,
            "Rotation",
            vpc=vpc,
            description="Changes the database password.",
            allow_all_outbound=False,
        )
        group.connections.allow_to(cluster, ec2.Port.tcp(_POSTGRES), "the new password")
        group.connections.allow_to(endpoints, ec2.Port.tcp(_HTTPS), "Secrets Manager")
        self._secret.add_rotation_schedule(
            "Every",
            automatically_after=Duration.days(database.secret_rotation_days),
            hosted_rotation=secretsmanager.HostedRotation.postgre_sql_single_user(
                vpc=vpc,
                vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
                security_groups=[group],
                exclude_characters=_NOT_IN_PASSWORDS,
            ),
        )

    def _publish(self, names: Names, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            ssm.StringParameter(
                self,
                "".join(word.capitalize() for word in name.split("-")),
                parameter_name=names.parameter("database", name),
                string_value=value,
            )
