import HTTPTransport

/// A body for tests that do not look at it.
struct PartBodyOfZeros: RequestBody {
  var byteCount: Int64

  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(Int(byteCount - offset), buffer.count)
    for index in 0..<count { buffer[index] = 0 }
    return count
  }
}
