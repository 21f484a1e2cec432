/// The position in a request's body. libcurl resets it when it repeats the request.
struct RequestBodyReader {
  let body: any RequestBody
  var offset: Int64 = 0

  init(_ body: any RequestBody) {
    self.body = body
  }

  var remaining: Int64 { body.byteCount - offset }

  /// Reads the next bytes, never more than the announced size; 0 at the end.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let rest = remaining
    guard rest > 0 else { return 0 }
    let count = Int(min(rest, Int64(buffer.count)))
    let read = try body.copyBytes(
      from: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    // With an end before the announced size, the server would wait for the rest until its time limit.
    guard read > 0, read <= count else {
      throw TransportError(
        .invalid,
        "a request's body of \(body.byteCount) bytes gave \(read) at \(offset): it must not end early")
    }
    offset += Int64(read)
    return read
  }
}
