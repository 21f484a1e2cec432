import LoopThread
import MirrorModel
import Synchronization

/// Shows the progress of transfers while there are any: five times a second on a terminal, every five seconds
/// elsewhere. While there are no transfers, nothing wakes.
final class Progress: Sendable {
  /// How progress is shown.
  struct Display: Sendable {
    /// The time between two readings.
    var interval: Duration
    /// Receives the reading, the reading at the start of the transfers, and the seconds since then.
    var show: @Sendable (TransferProgress, TransferProgress, Double) -> Void
    /// The transfers have ended.
    var clear: @Sendable () -> Void
  }

  private let meter: TransferMeter
  private let display: Display
  private let isPaused = Mutex(false)

  init(meter: TransferMeter, display: Display) {
    self.meter = meter
    self.display = display
  }

  convenience init(meter: TransferMeter, line: StatusLine) {
    self.init(
      meter: meter,
      display: Display(
        interval: line.kind == .terminal ? .milliseconds(200) : .seconds(5),
        show: { line.show(Self.text($0, since: $1, seconds: $2)) }, clear: { line.clear() }))
  }

  /// Hides the progress from now on, because another program uses the terminal.
  func pause() {
    isPaused.withLock { $0 = true }
    display.clear()
  }

  func resume() {
    isPaused.withLock { $0 = false }
  }

  /// Runs until the task is cancelled.
  func run() async {
    while !Task.isCancelled {
      await meter.bell.wait(until: nil)
      await follow()
    }
    display.clear()
  }

  /// Follows the transfers from their start to the first interval without any.
  private func follow() async {
    let start = Instant.now
    let first = meter.reading
    var last = first
    while !Task.isCancelled {
      do {
        try await TaskThreads.pause(for: display.interval)
      } catch {
        break
      }
      let now = meter.reading
      if now.inFlight == 0, now == last { break }
      if !isPaused.withLock({ $0 }) {
        display.show(now, first, (Instant.now - start).seconds)
      }
      last = now
    }
    display.clear()
  }

  /// `s3mirror: 12 files, 345.2 MB sent, 56.1 MB/s`
  ///
  /// - Parameters:
  ///   - first: the reading at the start of the transfers, from which the rate is computed.
  ///   - seconds: the time since that reading.
  static func text(_ reading: TransferMeter.Reading, since first: TransferMeter.Reading, seconds: Double)
    -> String
  {
    var parts = ["\(reading.files) \(reading.files == 1 ? "file" : "files")"]
    if reading.sentBytes > 0 { parts.append("\(ByteCount(reading.sentBytes)) sent") }
    if reading.fetchedBytes > 0 { parts.append("\(ByteCount(reading.fetchedBytes)) fetched") }
    let moved = (reading.sentBytes - first.sentBytes).addingSaturated(
      reading.fetchedBytes - first.fetchedBytes)
    if moved > 0, seconds > 0 { parts.append("\(ByteCount(Int64(saturating: Double(moved) / seconds)))/s") }
    if reading.inFlight > 0 { parts.append("\(reading.inFlight) in flight") }
    return "s3mirror: " + parts.joined(separator: ", ")
  }
}
