"""What a team would use instead, each as its own documentation recommends, small and fair.

Every peer is a module with `feed(users)` and `work()`; all make the same SES call through boto3 as it comes.
"""
