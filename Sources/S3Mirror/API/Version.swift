/// The version in `--version` and in the user agent.
public let s3MirrorVersion = "0.2.0"
