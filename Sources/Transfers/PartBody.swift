import HTTPTransport
import LocalTree

/// A filled buffer as the body of a request. The buffer must not change while a request may read it.
struct PartBody: RequestBody {
  let buffer: PartBuffer

  var byteCount: Int64 { Int64(buffer.count) }

  // SAFETY: this value retains the buffer, which owns the memory. The buffer is not filled again while it is
  // a body.
  var stableBytes: UnsafeRawBufferPointer? { buffer.bytes }

  // SAFETY: the source pointer is valid as long as `buffer`, which this value retains. Curl's buffer is valid
  // during the call.
  func copyBytes(from offset: Int64, into target: UnsafeMutableRawBufferPointer) -> Int {
    let rest = UnsafeRawBufferPointer(rebasing: buffer.bytes.dropFirst(Int(offset)).prefix(target.count))
    target.copyMemory(from: rest)
    return rest.count
  }
}
