import HTTPTransport
import Synchronization

/// Keeps what a response brought, for a test to look at. `begin` starts over, as a retry does.
package final class RecordingSink: ResponseSink {
  private struct Record {
    var begun = 0
    var bytes: [UInt8] = []
  }

  private let record = Mutex(Record())

  package init() {}

  /// Times that a body began.
  package var begun: Int { record.withLock { $0.begun } }

  /// What came since the last beginning.
  package var bytes: [UInt8] { record.withLock { $0.bytes } }

  package func begin(_ head: HTTPResponse) {
    record.withLock { record in
      record.begun += 1
      record.bytes = []
    }
  }

  package func receive(_ bytes: UnsafeRawBufferPointer) {
    record.withLock { $0.bytes += bytes }
  }
}
