/// The version that is told to servers and by `--version`.
public let s3MirrorVersion = "0.1.0"
