import Glibc
import LoopThread
import SystemPackage

/// The directories of control sockets.
///
/// The XDG base directory specification names the runtime directory for sockets. Sessions without one (cron,
/// a container, a batch job) use the state directory. A search for mirrors reads both, because a shell and a
/// job of the same user may have different environments.
struct ControlPlaces: Sendable {
  /// The directory in which a new mirror makes its socket.
  let preferred: FilePath
  /// The directories in which mirrors are searched.
  let all: [FilePath]

  init(environment: [String: String], home: FilePath) {
    func absolute(_ name: String) -> FilePath? {
      environment[name].map { FilePath($0) }.flatMap { $0.isAbsolute ? $0 : nil }
    }
    let runtime = absolute("XDG_RUNTIME_DIR").flatMap { path in
      access(path.string, W_OK) == 0 ? path.appending("s3mirror") : nil
    }
    let state = absolute("XDG_STATE_HOME") ?? home.appending(".local").appending("state")
    let fallback = state.appending("s3mirror").appending("run")
    preferred = runtime ?? fallback
    all = [runtime, fallback].compactMap(\.self)
  }

  static let suffix = ".sock"

  /// The first part of a socket's name: the kernel that it belongs to. Hosts may share a home directory, and
  /// each host sees the other hosts' sockets as stale. After a reboot all older sockets are stale.
  ///
  /// - Throws: `Errno` if /proc cannot be read.
  static func kernelName() throws -> String {
    let bootID = try FileDescriptor.contents(ofFileAt: "/proc/sys/kernel/random/boot_id")
    return String(decoding: bootID.prefix { $0 != UInt8(ascii: "-") }, as: UTF8.self)
  }

  static func socketName(pid: Int32, number: Int) throws -> String {
    "\(try kernelName())-\(pid)-\(number)\(suffix)"
  }

  /// The process ID in a socket's name; nil for sockets of other kernels and for foreign names.
  static func pid(of name: String, kernel: String) -> Int32? {
    guard name.hasSuffix(suffix), name.hasPrefix(kernel + "-") else { return nil }
    let numbers = name.dropFirst(kernel.count + 1).dropLast(suffix.count).split(separator: "-")
    return numbers.count == 2 ? Int32(numbers[0]) : nil
  }
}
