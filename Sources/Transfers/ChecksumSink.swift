import Digests
import HTTPTransport
import Synchronization

/// Computes the checksum of a response's body without keeping the body, for a comparison without a download.
package final class ChecksumSink: ResponseSink {
  package struct Received: Sendable {
    package var byteCount: Int64 = 0
    package var crc = CRC32()
  }

  private let state = Mutex(Received())

  package init() {}

  package var received: Received { state.withLock { $0 } }

  package func begin(_ head: HTTPResponse) throws {
    state.withLock { $0 = Received() }
  }

  package func receive(_ bytes: UnsafeRawBufferPointer) throws {
    state.withLock { state in
      state.crc.update(bytes)
      state.byteCount += Int64(bytes.count)
    }
  }
}
