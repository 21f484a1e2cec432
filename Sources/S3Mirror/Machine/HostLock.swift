import Digests
import Glibc
import LocalSocket
import SystemPackage

/// Prevents a second mirror on this host from uploading to the same remote. It holds an flock(2) on a file
/// that is named after the remote. The kernel releases the lock when the process ends, in whatever way.
final class HostLock: Sendable {
  private let descriptor: FileDescriptor

  /// - Parameter identity: endpoint, bucket and prefix.
  /// - Throws: `MirrorError.configuration` if another process holds the lock.
  init(identity: String, remote: String, environment: [String: String]) throws {
    let directory = Self.directory(environment: environment)
    do {
      // Below /tmp another user may have made it first.
      let own = try SocketDirectory(path: directory, absence: .isMade)
      let name = String(hexadecimal(sha256(Array(identity.utf8))).prefix(32)) + ".lock"
      descriptor = try FileDescriptor.open(
        FilePath(own.address(of: name)), .readWrite, options: [.create, .closeOnExec, .noFollow],
        permissions: [.ownerReadWrite])
    } catch {
      throw MirrorError(
        .local,
        "the lock in \(directory) cannot be made: \(error); set XDG_RUNTIME_DIR to a directory of yours")
    }
    guard flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
      // The descriptor was just opened, so its close cannot lose data.
      _ = close(descriptor.rawValue)
      throw MirrorError(
        .configuration,
        "another mirror on this host uploads to \(remote); end it, or choose another prefix")
    }
  }

  func release() {
    _ = close(descriptor.rawValue)
  }

  /// The runtime directory of the XDG base directory specification, otherwise a directory of the user's own
  /// below /tmp.
  static func directory(environment: [String: String]) -> FilePath {
    if let runtime = environment["XDG_RUNTIME_DIR"], FilePath(runtime).isAbsolute,
      access(runtime, W_OK) == 0
    {
      return FilePath(runtime).appending("s3mirror")
    }
    return FilePath("/tmp/s3mirror-\(getuid())")
  }
}
