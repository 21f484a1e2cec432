import SigV4
import Testing

@Suite struct AWSPartitionTests {
  @Test(arguments: [
    ("us-east-1", "aws", "amazonaws.com"), ("mx-central-1", "aws", "amazonaws.com"),
    ("x", "aws", "amazonaws.com"),
    ("cn-north-1", "aws-cn", "amazonaws.com.cn"), ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
    ("us-iso-east-1", "aws-iso", "c2s.ic.gov"), ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
    ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"), ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
    ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"), ("eu-south-1", "aws", "amazonaws.com"),
  ])
  func `a region belongs to one partition, which has its own hosts`(
    region: String, name: String, suffix: String
  ) {
    let partition = AWSPartition(ofRegion: region)
    #expect(partition.name == name)
    #expect(partition.dnsSuffix == suffix)
  }

  @Test(arguments: [
    "us-east-1", "eusc-de-east-1", "auto", "garage", "US", "r2", String(repeating: "a", count: 63),
  ])
  func `a region's name is a label of a host's name`(text: String) {
    #expect(isRegionName(text))
  }

  @Test(arguments: [
    "", "evil.com/#", "us-east-1.evil.com", "us east", "us-east-1/", "-a", "a-", "r\u{e9}gion", "a@b", "a:b",
    "a\n",
    "us_east_1", String(repeating: "a", count: 64),
  ])
  func `anything else is none`(text: String) {
    #expect(!isRegionName(text))
  }
}
