/// How far a request's body has been read. libcurl sets it back when it sends the request again.
struct RequestBodyReader {
  let body: any RequestBody
  var offset: Int64 = 0

  init(_ body: any RequestBody) {
    self.body = body
  }

  var remaining: Int64 { body.byteCount - offset }

  /// The next bytes, never beyond the announced count; 0 at the end.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let rest = remaining
    guard rest > 0 else { return 0 }
    let count = Int(min(rest, Int64(buffer.count)))
    let read = try body.copyBytes(
      from: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    // An end before the announced count would leave the server waiting for the rest until its limit of silence.
    guard read > 0, read <= count else {
      throw TransportError(
        .invalid,
        "a request's body of \(body.byteCount) bytes gave \(read) at \(offset): it must not end early")
    }
    offset += Int64(read)
    return read
  }
}
