// S3Mirror
