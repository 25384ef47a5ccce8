#!/usr/bin/env bash
# Build and push a service's image under the digest of its content: push_image.sh dev collector
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$1
service=$2

repository=quarry-$environment-$service
tag=$(python3 -m infra.shipped hash "$service")
if aws ecr describe-images --repository-name "$repository" --image-ids "imageTag=$tag" >/dev/null 2>&1; then
    echo "$repository:$tag is there already"
    exit
fi
registry=$(aws ecr describe-repositories --repository-names "$repository" \
    --query 'repositories[0].repositoryUri' --output text)
aws ecr get-login-password | docker login --username AWS --password-stdin "${registry%%/*}"
docker build --file "services/$service/Dockerfile" --tag "$registry:$tag" .
docker push "$registry:$tag"
