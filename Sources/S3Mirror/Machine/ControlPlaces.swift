import Glibc
import LoopThread
import SystemPackage

/// Where control sockets have their names.
///
/// The runtime directory of the XDG base directory specification is the place for them; where a session has none (cron, a
/// container, a batch job) it is the state directory. Whoever looks for mirrors looks in both: a shell and a job
/// of the same user need not have the same environment.
struct ControlPlaces: Sendable {
  /// Where a new mirror makes its socket.
  let preferred: FilePath
  /// Where mirrors are looked for.
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

  /// The first of a name: the kernel that it lives in. A home directory may be shared by hosts, to each of which the others'
  /// sockets look stale; and after a reboot all are.
  ///
  /// - Throws: `Errno` where /proc cannot be read.
  static func kernelName() throws -> String {
    let bootID = try FileDescriptor.contents(ofFileAt: "/proc/sys/kernel/random/boot_id")
    return String(decoding: bootID.prefix { $0 != UInt8(ascii: "-") }, as: UTF8.self)
  }

  static func socketName(pid: Int32, number: Int) throws -> String {
    "\(try kernelName())-\(pid)-\(number)\(suffix)"
  }

  /// The process of a socket's name; nil for names of other kernels, and for what is none of ours.
  static func pid(of name: String, kernel: String) -> Int32? {
    guard name.hasSuffix(suffix), name.hasPrefix(kernel + "-") else { return nil }
    let numbers = name.dropFirst(kernel.count + 1).dropLast(suffix.count).split(separator: "-")
    return numbers.count == 2 ? Int32(numbers[0]) : nil
  }
}
