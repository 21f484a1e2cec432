extension MirrorScope {
  /// Tells how far transfers are, while there are any, until the task is cancelled. For scopes that show no progress themselves.
  ///
  /// - Parameter show: is given a reading at each interval, and the last one when nothing moves any more.
  package func followProgress(
    every interval: Duration, _ show: @escaping @Sendable (TransferProgress) -> Void
  ) async {
    let meter = meter
    let display = Progress.Display(
      interval: interval, show: { reading, _, _ in show(reading) }, clear: { show(meter.reading) })
    await Progress(meter: meter, display: display).run()
  }
}
