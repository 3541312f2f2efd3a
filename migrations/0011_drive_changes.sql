-- The change feed tells of drives and of files, too. Nothing here uses the new words: what adds them cannot. A program that is older
-- than they are cannot read changes that have them; none was released.
alter type change_resource add value 'drive';
alter type change_resource add value 'file';
