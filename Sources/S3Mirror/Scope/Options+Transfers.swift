import Transfers

extension Options {
  /// What uploads are made with.
  var uploadSettings: UploadSettings {
    var settings = UploadSettings()
    settings.singleThreshold = multipartThreshold
    settings.partBytes = partBytes
    settings.settle = settle
    settings.staleUploadAge = staleUploadAge
    return settings
  }
}
