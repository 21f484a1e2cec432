/// The version that is told to servers and by `--version`.
public let s3MirrorVersion = "0.2.0"
