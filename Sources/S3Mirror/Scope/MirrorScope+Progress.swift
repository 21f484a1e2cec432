extension MirrorScope {
  /// Reports progress at each interval while transfers run, until the task is cancelled. For scopes that show
  /// no progress themselves.
  ///
  /// - Parameter show: receives a reading at each interval, and a last one when the transfers have ended.
  package func followProgress(
    every interval: Duration, _ show: @escaping @Sendable (TransferProgress) -> Void
  ) async {
    let meter = meter
    let display = Progress.Display(
      interval: interval, show: { reading, _, _ in show(reading) }, clear: { show(meter.reading) })
    await Progress(meter: meter, display: display).run()
  }
}
