"""boto3's calls for aws.py, in the venv of moto: [access key, secret key, service, operation, {arguments}] a line, an answer or {"error": TEXT} a line.

aws_boto.py ENDPOINT CA REGION
"""
import json
import sys

import boto3
import botocore.exceptions


def main(endpoint, ca, region):
    for line in sys.stdin:
        access_key, secret_key, service, operation, arguments = json.loads(line)
        try:
            client = boto3.client(service, region_name=region, endpoint_url=endpoint, verify=ca, aws_access_key_id=access_key,
                                  aws_secret_access_key=secret_key)
            answer = getattr(client, operation)(**arguments)
            answer.pop("ResponseMetadata", None)
        except botocore.exceptions.ClientError as e:
            answer = {"error": str(e)}
        print(json.dumps(answer, default=str), flush=True)


main(*sys.argv[1:])
