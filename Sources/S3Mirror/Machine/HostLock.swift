import Digests
import Glibc
import LocalSocket
import SystemPackage

/// Keeps a second mirror on this host from uploading to the same remote: an flock(2) on a file named by the remote,
/// which the kernel releases when the process ends, however it ends.
final class HostLock: Sendable {
  private let descriptor: FileDescriptor

  /// - Parameter identity: endpoint, bucket and prefix.
  /// - Throws: `MirrorError.configuration` when another process holds it.
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
      // The descriptor was just opened; closing it cannot lose anything.
      _ = close(descriptor.rawValue)
      throw MirrorError(
        .configuration,
        "another mirror on this host uploads to \(remote); end it, or choose another prefix")
    }
  }

  func release() {
    _ = close(descriptor.rawValue)
  }

  /// The runtime directory of the XDG base directory specification, else one of the user's own below /tmp.
  static func directory(environment: [String: String]) -> FilePath {
    if let runtime = environment["XDG_RUNTIME_DIR"], FilePath(runtime).isAbsolute,
      access(runtime, W_OK) == 0
    {
      return FilePath(runtime).appending("s3mirror")
    }
    return FilePath("/tmp/s3mirror-\(getuid())")
  }
}
