import HTTPTransport

/// Passes a response's body on with its first byte turned over.
final class DamagingSink: ResponseSink {
  private let sink: any ResponseSink

  init(sink: any ResponseSink) { self.sink = sink }

  func begin(_ head: HTTPResponse) throws { try sink.begin(head) }

  func receive(_ bytes: UnsafeRawBufferPointer) throws {
    var damaged = Array(bytes)
    if let first = damaged.first { damaged[0] = ~first }
    try damaged.withUnsafeBytes { try sink.receive($0) }
  }
}
