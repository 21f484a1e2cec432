import FoundationEssentials
import Glibc

/// The name of this host in messages; empty if it cannot be read. The kernel's own name needs no name service.
let hostName: String = {
  let read = Result { try Data(contentsOf: URL(filePath: "/proc/sys/kernel/hostname")) }
  guard case .success(let bytes) = read else { return "" }
  return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first.map(String.init)
    ?? ""
}()

/// The ID of this process.
var processID: Int32 { getpid() }
