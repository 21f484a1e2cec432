import Glibc
import TestSupport
import Testing

@testable import S3Mirror

/// A second mirror on this host that uploads to the same remote is refused.
@Suite struct HostLockTests {
  @Test(.promise("END-8"))
  func `a remote is locked until it is released`() throws {
    let directory = try TemporaryDirectory()
    let environment = ["XDG_RUNTIME_DIR": directory.path]
    let lock = try HostLock(identity: "aws/b/x/", remote: "s3://b/x", environment: environment)
    let error = #expect(throws: MirrorError.self) {
      _ = try HostLock(identity: "aws/b/x/", remote: "s3://b/x", environment: environment)
    }
    #expect(error?.kind == .configuration)
    #expect(error?.message.contains("s3://b/x") == true)
    let other = try HostLock(identity: "aws/b/y/", remote: "s3://b/y", environment: environment)
    other.release()
    lock.release()
    try HostLock(identity: "aws/b/x/", remote: "s3://b/x", environment: environment).release()
  }

  /// Below /tmp another user could have made the directory first.
  @Test func `a directory in which others may write holds no lock`() throws {
    let directory = try TemporaryDirectory()
    try directory.makeDirectory("s3mirror")
    #expect(chmod(directory["s3mirror"], 0o777) == 0)
    let error = #expect(throws: MirrorError.self) {
      _ = try HostLock(identity: "x", remote: "s3://b/x", environment: ["XDG_RUNTIME_DIR": directory.path])
    }
    #expect(error?.message.contains("chmod 700") == true)
  }

  @Test func `a runtime directory that cannot be used is named with the cure`() throws {
    let directory = try TemporaryDirectory()
    try directory.write("s3mirror", "a file in the way")
    let error = #expect(throws: MirrorError.self) {
      _ = try HostLock(identity: "x", remote: "s3://b/x", environment: ["XDG_RUNTIME_DIR": directory.path])
    }
    #expect(error?.kind == .local)
    #expect(error?.message.contains("XDG_RUNTIME_DIR") == true)
  }
}
