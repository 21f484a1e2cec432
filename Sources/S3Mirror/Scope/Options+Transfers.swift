import Transfers

extension Options {
  /// What all transfers of a run share.
  func transferResources() throws -> TransferResources {
    let workers = workerLimit
    return try TransferResources(
      workers: workers.most, limit: workers.limit, priority: lowPriority ? .low : .normal)
  }

  /// The settings of an upload.
  func uploadSettings(for properties: ObjectProperties) -> UploadSettings {
    var settings = UploadSettings()
    settings.extraHeaders = properties.headers
    settings.metadata = properties.metadata
    settings.contentTypes = properties.contentType == .byExtension ? .byExtension : .off
    settings.singleThreshold = multipartThreshold
    settings.partBytes = partBytes
    settings.settle = settle
    settings.deltas = delta == .automatic ? .automatic : .off
    settings.staleUploadAge = staleUploadAge
    return settings
  }
}
